/* A recursive descent parser for arithmetic, one expression a line. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *at;
static const char *error;

static double sum(void);

static void skip(void) {
    while (isspace((unsigned char)*at)) at++;
}

static double atom(void) {
    skip();
    if (*at == '-') {
        at++;
        return -atom();
    }
    if (*at == '(') {
        at++;
        double value = sum();
        skip();
        if (*at == ')') at++;
        else error = "missing )";
        return value;
    }
    char *end;
    double value = strtod(at, &end);
    if (end == at) error = "number expected";
    at = end;
    return value;
}

static double product(void) {
    double value = atom();
    for (skip(); *at == '*' || *at == '/'; skip()) {
        char operator = *at++;
        double right = atom();
        if (operator == '/' && right == 0) error = "division by zero";
        value = operator == '*' ? value * right : value / right;
    }
    return value;
}

static double sum(void) {
    double value = product();
    for (skip(); *at == '+' || *at == '-'; skip()) {
        char operator = *at++;
        value += operator == '+' ? product() : -product();
    }
    return value;
}

int main(void) {
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        at = line;
        error = NULL;
        double value = sum();
        if (!error && *at) error = "more than an expression";
        if (error) printf("%s: %s at %td\n", line, error, at - line);
        else printf("%s = %g\n", line, value);
    }
}
