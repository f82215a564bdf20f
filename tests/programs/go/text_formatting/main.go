package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"
	"unicode/utf8"
)

func main() {
	text := "Grüße, 世界 🎉"
	fmt.Println(len(text), utf8.RuneCountInString(text), strings.ToUpper(text))
	for i, r := range "aé世" {
		fmt.Printf("%d:%c:%U ", i, r, r)
	}
	fmt.Printf("\n%08.3f|%-6s|%6s|%+d|%x|%q|%v|%T\n", 3.14159, "left", "right", 7, "hex", 'x', []int{1, 2}, map[string]bool{})
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "name\tvalue\t")
	fmt.Fprintln(table, "alpha\t1\t")
	fmt.Fprintln(table, "be\t1234\t")
	table.Flush()
	page := template.Must(template.New("page").Parse("{{range $i, $e := .}}{{if $i}}, {{end}}{{$e | printf \"%03d\"}}{{end}}\n"))
	if err := page.Execute(os.Stdout, []int{1, 20, 300}); err != nil {
		panic(err)
	}
	at := time.Date(2024, time.February, 29, 13, 5, 0, 0, time.UTC)
	fmt.Println(at.Format(time.RFC1123), at.AddDate(1, 0, 0).Format("2006-01-02"), at.Weekday())
}
