# Finds what Tickline's headers need, for the build itself and, installed beside the package config, for everybody who
# calls find_package(tickline). Nothing is downloaded: what is missing is named, with the words that install it.

# Puts the sentence for a missing dependency into <out>.
function(tickline_install_hint out what debian fedora homebrew conda vcpkg)
  string(CONCAT text
    "Tickline needs ${what}, which was not found. Install it and configure again:\n"
    "  Debian, Ubuntu   sudo apt install ${debian}\n"
    "  Fedora           sudo dnf install ${fedora}\n"
    "  Homebrew         brew install ${homebrew}\n"
    "  conda            conda install -c conda-forge ${conda}\n"
    "  vcpkg            vcpkg install ${vcpkg}\n"
    "Tickline downloads nothing by itself. Where it is installed in an unusual place, say so with -DCMAKE_PREFIX_PATH=<folder>."
  )
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# Makes the target tickline::xxhash (one header, nothing to link). <out> is empty, or the sentence that says what is missing.
# Imported targets are made GLOBAL so that a project which embeds Tickline by add_subdirectory can link tickline::tickline
# from any of its folders.
function(tickline_find_xxhash out)
  set(${out} "" PARENT_SCOPE)
  if(TARGET tickline::xxhash)
    return()
  endif()
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(TICKLINE_PC_XXHASH QUIET libxxhash)
  endif()
  find_path(TICKLINE_XXHASH_INCLUDE_DIR xxhash.h HINTS ${TICKLINE_PC_XXHASH_INCLUDEDIR} ${TICKLINE_PC_XXHASH_INCLUDE_DIRS})
  mark_as_advanced(TICKLINE_XXHASH_INCLUDE_DIR)
  if(NOT TICKLINE_XXHASH_INCLUDE_DIR)
    tickline_install_hint(hint "xxHash (the header xxhash.h)" libxxhash-dev xxhash-devel xxhash xxhash xxhash)
    set(${out} "${hint}" PARENT_SCOPE)
    return()
  endif()
  add_library(tickline::xxhash INTERFACE IMPORTED GLOBAL)
  set_target_properties(tickline::xxhash PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${TICKLINE_XXHASH_INCLUDE_DIR}")
endfunction()

# Makes the target tickline::re2, from RE2's own package config or, where a distribution ships none, from pkg-config.
function(tickline_find_re2 out)
  set(${out} "" PARENT_SCOPE)
  if(TARGET tickline::re2)
    return()
  endif()
  set(global "")
  if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.24)
    set(global GLOBAL)
  endif()
  find_package(re2 CONFIG QUIET ${global})
  if(TARGET re2::re2)
    set(library re2::re2)
  else()
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
      pkg_check_modules(TICKLINE_PC_RE2 QUIET IMPORTED_TARGET GLOBAL re2)
    endif()
    if(NOT TARGET PkgConfig::TICKLINE_PC_RE2)
      tickline_install_hint(hint "RE2 (and pkg-config or RE2's CMake files, to find it)"
        "libre2-dev pkg-config" "re2-devel pkgconf" "re2 pkgconf" "re2 pkg-config" "re2 pkgconf")
      set(${out} "${hint}" PARENT_SCOPE)
      return()
    endif()
    set(library PkgConfig::TICKLINE_PC_RE2)
  endif()
  add_library(tickline::re2 INTERFACE IMPORTED GLOBAL)
  set_target_properties(tickline::re2 PROPERTIES INTERFACE_LINK_LIBRARIES "${library}")
endfunction()
