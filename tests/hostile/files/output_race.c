// tries: to exchange an output file for a link to the host's file in the moment of its collection
// right: held
// args: ["{host_file}"]
// output_files: ["**"]
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    mkdir("out", 0755);
    close(open("out/plain", O_CREAT | O_WRONLY, 0644));
    (void)!symlink(argv[1], "out/link");
    mkdir("directory", 0755);
    close(open("directory/secret", O_CREAT | O_WRONLY, 0644));
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", argv[1]);
    for (char *at = parent + sizeof parent - 1; at > parent; at--) if (*at == '/') { *at = 0; break; }
    (void)!symlink("/", "root");
    int ready[2];
    (void)!pipe(ready);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            // Whoever outlives the main process goes on for as long as it is let.
            setsid();
            for (int signal_number = 1; signal_number < 65; signal_number++) signal(signal_number, SIG_IGN);
            close(0), close(1), close(2);
            (void)!write(ready[1], "x", 1);
            for (;;) {
                renameat2(-100, "out/plain", -100, "out/link", RENAME_EXCHANGE);
                renameat2(-100, "directory", -100, "root", RENAME_EXCHANGE);
            }
        }
    char bytes[4];
    for (int got = 0; got < 4; got++) (void)!read(ready[0], bytes, 1);
    puts("held");
}
