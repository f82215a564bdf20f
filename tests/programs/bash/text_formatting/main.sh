text='naïve café — 日本語 🎉'
echo "${#text} characters, $(printf %s "$text" | wc -c) bytes"
echo "${text:0:5}|${text#* }|${text//é/e}"
printf '%05d|%-8s|%8s|%x|%.3f\n' 42 left right 255 3.14159
printf '%q\n' "it's \$5"
path=/a/b/archive.tar.gz
echo "${path##*/} ${path%.*} ${path%%.*} ${path/b/B}"
echo {a..e}{1..2}
cat <<END
heredoc: $((6 * 7)) ${unset:-default}
END
cat <<<"here string"
