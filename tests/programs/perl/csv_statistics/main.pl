use strict;
use warnings;

open my $file, '<', 'scores.csv' or die "scores.csv: $!";
chomp(my $header = <$file>);
my @names = split /,/, $header;
my (%total, %games);
while (my $line = <$file>) {
    chomp $line;
    my %row;
    @row{@names} = split /,/, $line;
    $total{$row{player}} += $row{score};
    push @{$games{$row{player}}}, $row{game};
}
close $file;
for my $player (sort { $total{$b} <=> $total{$a} || $a cmp $b } keys %total) {
    printf "%-4s %3d %s\n", $player, $total{$player}, join '+', sort @{$games{$player}};
}
