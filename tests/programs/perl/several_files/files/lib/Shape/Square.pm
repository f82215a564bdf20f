package Shape::Square;
use strict;
use parent "Shape";
sub area { $_[0]{size} ** 2 }
1;
