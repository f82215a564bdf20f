use strict;
use warnings;
my %count;
while (<STDIN>) {
    $count{lc $1}++ while /([[:alpha:]']+)/g;
}
my @top = (sort { $count{$b} <=> $count{$a} or $a cmp $b } keys %count)[0 .. 2];
print "$_ $count{$_}\n" for @top;
print scalar(keys %count), " words, $. lines\n";
