use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use Unicode::Normalize qw(NFD NFC);

my $text = 'Grüße, Ωμέγα, 日本語 🎉';
printf "%d characters\n", length $text;
print uc($text), "\n", scalar reverse($text), "\n";
print join(' ', map { sprintf 'U+%04X', ord } split //, 'é日'), "\n";
printf "%d %d\n", length NFD('é'), length NFC(NFD('é'));
printf "%-8s|%8s|%03d|%.2e|%s\n", 'left', 'right', 7, 12345.678, 'x' x 3;
while (my $line = <STDIN>) {
    chomp $line;
    print "[$line] ", length $line, "\n";
}
