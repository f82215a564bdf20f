use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Shape::Circle;
use Shape::Square;

printf "%s: %.3f\n", ref, $_->area for Shape::Circle->new(2), Shape::Square->new(3);
print "$0: @ARGV\n";
print "$ENV{HOME} ", Shape::Circle->new(1)->isa('Shape') ? 'is' : 'is no', " Shape\n";
