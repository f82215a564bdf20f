#include <stdio.h>
#include "shapes.h"
#include "include/units.h"

int main(int argc, char **argv) {
    struct circle circle = {2.0};
    struct square square = {1.5};
    printf("%.4f%s %.4f%s\n", circle_area(&circle), UNIT, square_area(&square), UNIT);
    printf("%s %d %s\n", argv[0], argc, argc > 1 ? argv[1] : "-");
    return shapes_measured() == 2 ? 0 : 1;
}
