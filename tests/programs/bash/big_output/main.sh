# 4,000 lines of 100 characters.
line=$(printf '%096d' 0)
for (( i = 0; i < 4000; i++ )); do
    printf '%04d%s\n' "$i" "${line:1}"
done
