#define UNIT " m\u00b2"
