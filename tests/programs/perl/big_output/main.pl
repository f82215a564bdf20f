printf "%04d%096d\n", $_, $_ for 0 .. 3999;
