package Shape;
use strict;
sub new { my ($class, $size) = @_; return bless {size => $size}, $class }
1;
