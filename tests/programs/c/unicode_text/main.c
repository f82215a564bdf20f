#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

int main(void) {
    if (!setlocale(LC_ALL, "")) return 1;
    const char *text = "Grüße, Ωμέγα, 日本語, 🎉";
    wchar_t wide[64];
    size_t length = mbstowcs(wide, text, 64);
    printf("%zu bytes, %zu characters\n", strlen(text), length);
    for (size_t i = 0; i < length; i++) wide[i] = towupper(wide[i]);
    printf("%ls\n", wide);
    for (size_t i = 0; i < length / 2; i++) {
        wchar_t c = wide[i];
        wide[i] = wide[length - 1 - i];
        wide[length - 1 - i] = c;
    }
    printf("%ls\n", wide);
    printf("|%-10s|%10.3f|%+d|%#x|%e|\n", "left", 3.14159265, 42, 255, 12345.678);
}
