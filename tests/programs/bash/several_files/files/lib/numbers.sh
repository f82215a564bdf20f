sum() { local t=0 n; for n; do (( t += n )); done; echo "sum: $t"; }
