use strict;
use warnings;
use JSON::PP;
use List::Util qw(sum max first reduce);
use Time::Local qw(timegm);
use POSIX qw(strftime floor);
use Data::Dumper;

my $json = JSON::PP->new->canonical->pretty->indent_length(2);
my $data = decode_json(join '', <STDIN>);
my @prices = map { $_->{price} } @{$data->{items}};
$data->{summary} = {
    total => sum(@prices), highest => max(@prices),
    first_cheap => (first { $_->{price} < 5 } @{$data->{items}})->{name},
    product => reduce { $a * $b } @prices,
};
delete $data->{items};
print $json->encode($data);
print strftime('%Y-%m-%d %H:%M', gmtime(timegm(0, 30, 12, 29, 1, 2024))), ' ', floor(-2.5), "\n";
local ($Data::Dumper::Sortkeys, $Data::Dumper::Indent, $Data::Dumper::Terse) = (1, 0, 1);
print Dumper({list => [1, 'two', undef], code => {x => 1}}), "\n";
eval { decode_json('{broken') } or print "error: ", $@ =~ /^(.*?) at/, "\n";
