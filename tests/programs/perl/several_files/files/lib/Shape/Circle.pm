package Shape::Circle;
use strict;
use parent "Shape";
use Math::Trig;
sub area { pi * $_[0]{size} ** 2 }
1;
