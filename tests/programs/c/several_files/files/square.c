#include "shapes.h"
double square_area(const struct square *s) { measured++; return s->side * s->side; }
