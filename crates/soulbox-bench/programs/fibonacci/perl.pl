sub fibonacci {
    my ($n) = @_;
    return $n < 2 ? $n : fibonacci($n - 1) + fibonacci($n - 2);
}
print fibonacci(20), "\n";
