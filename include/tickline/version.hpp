// The one version number. CMake and pyproject read it from here; a test compares all three.
#pragma once

#define TICKLINE_VERSION_MAJOR 0
#define TICKLINE_VERSION_MINOR 1
#define TICKLINE_VERSION_PATCH 0
#define TICKLINE_VERSION "0.1.0"

// The date of these sources, set with each release: no server's time can be earlier (ntp/validate.hpp).
#define TICKLINE_SOURCE_YEAR 2026
#define TICKLINE_SOURCE_MONTH 11
#define TICKLINE_SOURCE_DAY 21
