#include <math.h>
#include "shapes.h"
int measured;
double circle_area(const struct circle *c) { measured++; return M_PI * pow(c->radius, 2); }
int shapes_measured(void) { return measured; }
