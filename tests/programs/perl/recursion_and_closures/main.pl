use strict;
use warnings;
use feature qw(say state current_sub);

sub permute {
    my ($done, @rest) = @_;
    return $done unless @rest;
    return map { my $i = $_; permute($done . $rest[$i], @rest[grep { $_ != $i } 0 .. $#rest]) } 0 .. $#rest;
}

sub counter { my $n = shift; return sub { return $n++ } }

sub next_id { state $id = 0; return ++$id }

say join ' ', permute('', qw(a b c));
my ($one, $other) = (counter(5), counter(10));
$one->() for 1 .. 3;
say $one->(), ' ', $other->();
next_id() for 1 .. 4;
say next_id();
my $fibonacci = sub { my $n = shift; $n < 2 ? $n : __SUB__->($n - 1) + __SUB__->($n - 2) };
say $fibonacci->(20);
my @sorted = map { $_->[1] } sort { $a->[0] <=> $b->[0] or $a->[1] cmp $b->[1] } map { [length, $_] } qw(pear fig apple kiwi);
say "@sorted";
