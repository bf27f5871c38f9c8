// A FastDate64 and a number are different things; no conversion happens by itself.
// must fail with: conversion from|no viable conversion
#include <tickline/time/fastdate64.hpp>

#ifdef TICKLINE_MUST_FAIL
tickline::fastdate64 from_number = 5;
#endif

int main() { return tickline::fastdate64{5}.raw() == 5 ? 0 : 1; }
