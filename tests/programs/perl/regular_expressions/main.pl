use strict;
use warnings;

my $log = <<'END';
2024-03-09 12:00:01 [error] db: connection lost (code=17)
2024-03-09 12:00:05 [info] db: reconnected
2024-03-10 08:30:00 [error] web: timeout (code=504)
END
while ($log =~ /^(?<date>\S+) \S+ \[error\] (?<part>\w+): (?<text>.*?) \(code=(?<code>\d+)\)$/mg) {
    print "$+{part} on $+{date}: $+{text}, $+{code}\n";
}
(my $title = 'the quick brown fox') =~ s/\b(\w)/\u$1/g;
print "$title\n";
print join('|', split /\s*[,;]\s*/, 'a , b;c ,d'), "\n";
my $nested = qr/\((?:[^()]++|(?R))*\)/;
print "balanced: $&\n" if 'x (a (b) (c (d))) y)' =~ $nested;
print join(',', 'aaa' =~ /(?=(aa))/g), "\n";
(my $number = 1234567) =~ s/(?<=\d)(?=(?:\d{3})+$)/,/g;
print "$number\n";
(my $swapped = 'Hello') =~ tr/a-zA-Z/A-Za-z/;
print "$swapped\n";
