# Builds and runs other people's projects against this tree: installed and found, embedded, and with a library missing.

function(run)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "FAILS_WITH" "COMMAND")
  execute_process(COMMAND ${arg_COMMAND} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  list(JOIN arg_COMMAND " " shown)
  if(arg_FAILS_WITH)
    if(status EQUAL 0 OR NOT output MATCHES "${arg_FAILS_WITH}")
      message(FATAL_ERROR "${shown}\nmust fail and say \"${arg_FAILS_WITH}\"; it ended with ${status}:\n${output}")
    endif()
  elseif(NOT status EQUAL 0)
    message(FATAL_ERROR "${shown}\nended with ${status}:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
set(prefix "${WORK}/prefix")
run(COMMAND "${CMAKE_COMMAND}" --install "${TICKLINE_BUILD}" --prefix "${prefix}" --component headers)

# An empty build type and empty flags of ours: whatever shows up was put there by Tickline.
set(flags "-DCMAKE_CXX_FLAGS=-fno-exceptions -fno-rtti -Wall -Wextra -Wpedantic -Werror")
set(configure "${CMAKE_COMMAND}" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DEXPECTED_VERSION=${TICKLINE_VERSION}"
  "-DCMAKE_PREFIX_PATH=${prefix}" "-DTICKLINE_SOURCE=${TICKLINE_SOURCE}")

foreach(project IN ITEMS find_package add_subdirectory)
  set(build "${WORK}/${project}")
  run(COMMAND ${configure} "${flags}" -S "${CMAKE_CURRENT_LIST_DIR}/${project}" -B "${build}")
  run(COMMAND "${CMAKE_COMMAND}" --build "${build}")
  run(COMMAND "${build}/consumer")
  run(COMMAND "${build}/consumer_pattern")
endforeach()

# Whoever embeds Tickline installs their own program and none of our headers.
run(COMMAND "${CMAKE_COMMAND}" --install "${WORK}/add_subdirectory" --prefix "${WORK}/theirs")
file(GLOB_RECURSE installed RELATIVE "${WORK}/theirs" "${WORK}/theirs/*")
if(NOT installed STREQUAL "bin/consumer")
  message(FATAL_ERROR "The embedding project must install bin/consumer alone, and installed: ${installed}")
endif()

# A missing library stops both ways of using Tickline with the words that install it. The search is sent to an empty folder.
set(nowhere -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON "-DCMAKE_FIND_ROOT_PATH=${WORK}/nowhere"
  -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY)
file(MAKE_DIRECTORY "${WORK}/nowhere")
foreach(project IN ITEMS find_package add_subdirectory)
  run(FAILS_WITH "apt install libxxhash-dev" COMMAND ${configure} ${nowhere}
    -S "${CMAKE_CURRENT_LIST_DIR}/${project}" -B "${WORK}/${project}_without_xxhash")
endforeach()
