#ifndef SHAPES_H
#define SHAPES_H
struct circle { double radius; };
struct square { double side; };
double circle_area(const struct circle *);
double square_area(const struct square *);
int shapes_measured(void);
extern int measured;
#endif
