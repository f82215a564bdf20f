# tries: to draw what another script drew
# right: held
# again: 5
echo "random $RANDOM$RANDOM$RANDOM$RANDOM"
echo "file $(mktemp)"
echo "bytes $(od -An -N16 -tx1 /dev/urandom)"
echo held
