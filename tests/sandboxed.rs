//! What programs of the languages that are executed see and reach from inside their sandboxes: each looks in
//! its own way. What Python sees has tests of its own, in `isolation.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use support::shared_by_all_languages;

const BASH: &str = r#"
while IFS=$':\t' read -r name value; do
    case $name in Cap*|NoNewPrivs|Seccomp|Groups) echo "$name=${value//[[:space:]]/}";; esac
done </proc/self/status
echo "uid=$UID $EUID $(id -u) $(id -g)"
# Looked at from outside, since the shell opens something for each of its own ways to look.
ls -l /proc/$$/fd >/tmp/list
while read -r _ _ _ _ _ _ _ _ fd _ target; do
    case $target in /workspace/main.sh | '') ;; *) echo "fd=$fd";; esac
done </tmp/list
for place in / /usr /usr/bin /etc /dev /run /proc /.soulbox /var /home; do
    if (: >"$place/soulbox-test") 2>/dev/null; then echo "written=$place"; fi
done
for place in /workspace /tmp /dev/shm; do
    if (: >"$place/soulbox-test") 2>/dev/null; then echo "scratch=$place"; fi
done
for address in 1.1.1.1/53 10.0.0.1/80 169.254.169.254/80; do
    if (: <>"/dev/tcp/$address") 2>/tmp/error; then echo "connected=$address"; fi
    grep -q 'Network is unreachable' /tmp/error && echo "unreachable=$address"
done
for process in /proc/[0-9]*; do
    case ${process#/proc/} in 1|$$) ;; *) [[ -e $process ]] && echo "process=$process";; esac
done
for file in /etc/shadow /root /home /var /proc/cpuinfo /sys/kernel /proc/1/environ; do
    if { [[ -f $file ]] && : <"$file"; } 2>/dev/null || [[ -d $file && -n $(ls -A "$file" 2>/dev/null) ]]; then
        echo "seen=$file"
    fi
done
for try in 'chown 0:0 /tmp/error' 'mount -t tmpfs x /tmp' 'unshare -U true' 'chroot / true' 'kill -9 1' 'su -c true'; do
    if $try 2>/dev/null </dev/null; then echo "done=$try"; fi
done
hostname=$(</etc/hostname); echo "host=$hostname $HOSTNAME"
"#;

const C: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void try(const char *what, int result) { if (result != -1) printf("done=%s\n", what); }

int main(void) {
    char line[256], path[300];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status)) {
        char name[32], value[64] = "";
        sscanf(line, "%31[^:]: %63s", name, value);
        if (!strncmp(name, "Cap", 3) || !strcmp(name, "NoNewPrivs") || !strcmp(name, "Seccomp") || !strcmp(name, "Groups"))
            printf("%s=%s\n", name, value);
    }
    fclose(status);
    printf("uid=%d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
    for (int fd = 0; fd < 1024; fd++) if (fcntl(fd, F_GETFD) != -1) printf("fd=%d\n", fd);
    const char *places[] = {"/", "/usr", "/usr/bin", "/etc", "/dev", "/run", "/proc", "/.soulbox", "/var", "/home"};
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "%s/soulbox-test", places[i]);
        if (open(path, O_CREAT | O_WRONLY, 0600) != -1) printf("written=%s\n", places[i]);
    }
    const char *scratch[] = {"/workspace", "/tmp", "/dev/shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/soulbox-test", scratch[i]);
        if (open(path, O_CREAT | O_WRONLY, 0600) != -1) printf("scratch=%s\n", scratch[i]);
    }
    const char *addresses[] = {"1.1.1.1", "10.0.0.1", "169.254.169.254"};
    for (int i = 0; i < 3; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
        inet_pton(AF_INET, addresses[i], &to.sin_addr);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int connected = connect(fd, (struct sockaddr *)&to, sizeof to);
        printf("%s=%s\n", connected == -1 && errno == ENETUNREACH ? "unreachable" : "connected", addresses[i]);
    }
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        int pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid()) printf("process=%d\n", pid);
    }
    const char *files[] = {"/etc/shadow", "/root/.profile", "/proc/cpuinfo", "/proc/1/environ", "/sys/kernel/version"};
    for (int i = 0; i < 5; i++) if (open(files[i], O_RDONLY) != -1) printf("seen=%s\n", files[i]);
    gid_t root = 0;
    try("setuid", setuid(0));
    try("setgroups", setgroups(1, &root));
    try("mount", mount("x", "/tmp", "tmpfs", 0, NULL));
    try("unshare", unshare(CLONE_NEWUSER));
    try("chroot", chroot("/tmp"));
    try("kill", kill(1, SIGKILL));
    try("ptrace", ptrace(PTRACE_ATTACH, 1, 0, 0));
    try("mknod", mknod("/tmp/device", S_IFCHR | 0666, 0x103));
    try("raw", socket(AF_INET, SOCK_RAW, 1));
    try("packet", socket(AF_PACKET, SOCK_RAW, 0));
    try("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    char host[64];
    gethostname(host, sizeof host);
    printf("host=%s %s\n", host, getlogin() ? "login" : "sandbox");
}
"#;

const GO: &str = r#"
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	status, _ := os.Open("/proc/self/status")
	for lines := bufio.NewScanner(status); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.HasPrefix(name, "Cap") || name == "NoNewPrivs" || name == "Seccomp" || name == "Groups" {
			fmt.Printf("%s=%s\n", name, strings.TrimSpace(value))
		}
	}
	status.Close()
	fmt.Println("uid="+strconv.Itoa(os.Getuid()), os.Geteuid(), os.Getgid(), os.Getegid())
	for fd := 0; fd < 1024; fd++ {
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && !strings.HasPrefix(target, "anon_inode:[event") {
			fmt.Printf("fd=%d\n", fd)
		}
	}
	for _, place := range strings.Fields("/ /usr /usr/bin /etc /dev /run /proc /.soulbox /var /home") {
		if os.WriteFile(place+"/soulbox-test", nil, 0o600) == nil {
			fmt.Println("written=" + place)
		}
	}
	for _, place := range strings.Fields("/workspace /tmp /dev/shm") {
		if os.WriteFile(place+"/soulbox-test", nil, 0o600) == nil {
			fmt.Println("scratch=" + place)
		}
	}
	for _, address := range strings.Fields("1.1.1.1:80 10.0.0.1:80 169.254.169.254:80") {
		_, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ENETUNREACH) {
			fmt.Println("unreachable=" + address)
		} else {
			fmt.Println("connected="+address, err)
		}
	}
	interfaces, err := net.InterfaceAddrs()
	if err == nil {
		for _, found := range interfaces {
			if !found.(*net.IPNet).IP.IsLoopback() {
				fmt.Println("seen=", found)
			}
		}
	}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != 1 && pid != os.Getpid() {
			fmt.Println("process=", pid)
		}
	}
	for _, file := range strings.Fields("/etc/shadow /root/.profile /proc/cpuinfo /proc/1/environ /sys/kernel/version") {
		if _, err := os.ReadFile(file); err == nil {
			fmt.Println("seen=" + file)
		}
	}
	for what, err := range map[string]error{
		"setuid": syscall.Setuid(0), "mount": syscall.Mount("x", "/tmp", "tmpfs", 0, ""),
		"unshare": syscall.Unshare(syscall.CLONE_NEWNS), "chroot": syscall.Chroot("/tmp"),
		"kill": syscall.Kill(1, syscall.SIGKILL), "mknod": syscall.Mknod("/tmp/device", syscall.S_IFCHR, 0x103),
		"hostname": syscall.Sethostname([]byte("x")),
	} {
		if err == nil {
			fmt.Println("done=" + what)
		}
	}
	host, _ := os.Hostname()
	fmt.Println("host="+host, os.Getenv("USER"))
}
"#;

const PERL: &str = r#"
use strict;
use warnings;
use IO::Socket::INET;
use Errno qw(ENETUNREACH);
use POSIX ();
use Sys::Hostname;

open my $status, '<', '/proc/self/status' or die;
while (<$status>) { print "$1=$2\n" if /^(Cap\w+|NoNewPrivs|Seccomp|Groups):\s*(.*?)\s*$/ }
close $status;
print "uid=$< $> ", $( + 0, ' ', $) + 0, "\n";
for my $fd (0 .. 1023) {
    my $target = readlink "/proc/self/fd/$fd" // next;
    print "fd=$fd\n" if $target ne '/workspace/main.pl';
}
for my $place (qw(/ /usr /usr/bin /etc /dev /run /proc /.soulbox /var /home)) {
    print "written=$place\n" if open my $file, '>', "$place/soulbox-test";
}
for my $place (qw(/workspace /tmp /dev/shm)) {
    print "scratch=$place\n" if open my $file, '>', "$place/soulbox-test";
}
for my $address (qw(1.1.1.1 10.0.0.1 169.254.169.254)) {
    my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 80, Proto => 'tcp', Timeout => 5);
    print $socket ? 'connected' : $!{ENETUNREACH} ? 'unreachable' : "connected ($!)", "=$address\n";
}
print map { m{^/proc/(\d+)$} && $1 != 1 && $1 != $$ ? "process=$1\n" : () } glob '/proc/*';
for my $path (qw(/etc/shadow /root/.profile /proc/cpuinfo /proc/1/environ /sys/kernel/version)) {
    print "seen=$path\n" if open my $file, '<', $path;
}
print "done=setuid\n" if POSIX::setuid(0);
print "done=chroot\n" if chroot '/tmp';
print "done=chown\n" if chown 0, 0, '/tmp/soulbox-test';
print "done=kill\n" if kill 'KILL', 1;
print 'host=', hostname, ' ', getpwuid($<), "\n";
"#;

#[test]
fn every_language_is_held_in_by_the_same_walls() {
    let server = shared_by_all_languages();
    for (language, code) in [("bash", BASH), ("c", C), ("go", GO), ("perl", PERL)] {
        let execution = server.execute(json!({"language": language, "code": code}));
        let mut seen = BTreeMap::<&str, BTreeSet<&str>>::new();
        for line in execution.is("succeeded").stdout().lines() {
            let (name, value) = line.split_once('=').unwrap();
            seen.entry(name).or_default().insert(value);
        }
        let of = |name: &str| seen.get(name).cloned().unwrap_or_default();
        let nothing = BTreeSet::new();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(of(set), BTreeSet::from(["0000000000000000"]), "{language}: {set}");
        }
        assert_eq!((of("NoNewPrivs"), of("Seccomp")), (["1"].into(), ["2"].into()), "{language}");
        assert_eq!(of("Groups"), [""].into(), "{language}");
        let ids: Vec<u32> =
            of("uid").iter().flat_map(|ids| ids.split(' ')).map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0] && *id >= 1000), "{language}: {ids:?}");
        assert_eq!(of("fd"), ["0", "1", "2"].into(), "{language}");
        assert_eq!(of("scratch"), ["/workspace", "/tmp", "/dev/shm"].into(), "{language}");
        assert_eq!(of("unreachable").len(), 3, "{language}: {seen:?}");
        for never in ["written", "connected", "process", "seen", "done"] {
            assert_eq!(of(never), nothing, "{language}: {never}");
        }
        assert_eq!(of("host"), ["sandbox sandbox"].into(), "{language}");
    }
}

#[test]
fn loopback_is_there_for_those_who_serve() {
    let server = shared_by_all_languages();
    let perl = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
        if (!fork) { my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->sockport); print $c \"hello\\n\"; exit }
        print scalar $s->accept->getline; wait;";
    let c = r#"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (void *)&at, length) || listen(server, 1) || getsockname(server, (void *)&at, &length)) return 1;
    if (fork() == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        return connect(client, (void *)&at, length) || write(client, "hello\n", 6) != 6;
    }
    char text[16] = "";
    if (read(accept(server, NULL, NULL), text, 15) != 6) return 2;
    fputs(text, stdout);
    wait(NULL);
}
"#;
    for (language, code) in [("perl", perl), ("c", c)] {
        let execution = server.execute(json!({"language": language, "code": code}));
        assert_eq!(execution.is("succeeded").stdout(), "hello\n", "{language}");
    }
}
