use strict;
use warnings;
use POSIX ':sys_wait_h';
$| = 1;

pipe(my $reader, my $writer) or die "pipe: $!";
my @children;
for my $number (1 .. 3) {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $reader;
        syswrite $writer, "child $number\n";
        exit $number;
    }
    push @children, $pid;
}
close $writer;
print sort <$reader>;
print join(' ', map { waitpid $_, 0; $? >> 8 } @children), "\n";

print "shell: ", `echo \$((6 * 7))`;
open my $sort, '|-', 'sort', '-r' or die $!;
print $sort "$_\n" for qw(a c b);
close $sort;
system('sh', '-c', 'exit 5');
print "system: ", $? >> 8, "\n";

my $got = 0;
local $SIG{USR1} = sub { $got++ };
kill USR1 => $$;
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; 1 while 1; };
print "got $got, $@";
my $sleeper = fork // die;
if (!$sleeper) { sleep 600; exit }
kill KILL => $sleeper;
waitpid $sleeper, 0;
print "signal ", $? & 127, "\n";
