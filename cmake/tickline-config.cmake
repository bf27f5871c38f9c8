# find_package(tickline 0.1)                      gives tickline::tickline
# find_package(tickline 0.1 COMPONENTS pattern)   gives tickline::pattern as well, which needs RE2
#
# The libraries are looked for on the machine that uses the package, not remembered from the one that installed it: the
# package holds headers only and fits every architecture.
include("${CMAKE_CURRENT_LIST_DIR}/tickline-dependencies.cmake")

tickline_find_xxhash(tickline_missing)
if(tickline_missing)
  set(tickline_FOUND FALSE)
  set(tickline_NOT_FOUND_MESSAGE "${tickline_missing}")
  return()
endif()

include("${CMAKE_CURRENT_LIST_DIR}/tickline-targets.cmake")

foreach(tickline_component IN LISTS tickline_FIND_COMPONENTS)
  set(tickline_${tickline_component}_FOUND FALSE)
  if(NOT tickline_component STREQUAL "pattern")
    set(tickline_missing "Tickline has no component \"${tickline_component}\"; there is only \"pattern\".")
  else()
    tickline_find_re2(tickline_missing)
  endif()
  if(NOT tickline_missing)
    set(tickline_${tickline_component}_FOUND TRUE)
    if(NOT TARGET tickline::pattern)
      add_library(tickline::pattern INTERFACE IMPORTED)
      set_target_properties(tickline::pattern PROPERTIES INTERFACE_LINK_LIBRARIES "tickline::tickline;tickline::re2")
    endif()
  elseif(tickline_FIND_REQUIRED_${tickline_component})
    set(tickline_FOUND FALSE)
    set(tickline_NOT_FOUND_MESSAGE "${tickline_missing}")
  endif()
endforeach()
