use strict;
use warnings;

print "before\n";
eval { die {code => 7} };
print "caught $@->{code}\n";
warn "careful\n";
open my $file, '<', '/nowhere' or die "cannot open: $!";
print "never\n";
