# Compiles SOURCE as it is, which must work, and with TICKLINE_MUST_FAIL defined, which must not. The first proves that a
# failure is not a wrong include path or a typing error; the message, that it failed for the reason the file gives:
#   // must fail with: <regular expression over the compiler's output>
file(STRINGS "${SOURCE}" reason REGEX "^// must fail with: ")
if(NOT reason)
  message(FATAL_ERROR "${SOURCE}: no line \"// must fail with: ...\".")
endif()
string(REPLACE "// must fail with: " "" reason "${reason}")

set(command "${COMPILER}" -std=c++20 -fsyntax-only -Wall -Wextra -Werror=unused-result "-I${INCLUDE}")
foreach(folder IN LISTS FLAGS)
  if(NOT folder STREQUAL "/usr/include")
    list(APPEND command -isystem "${folder}")
  endif()
endforeach()

execute_process(COMMAND ${command} "${SOURCE}" RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} must compile as long as TICKLINE_MUST_FAIL is not defined, and does not:\n${output}")
endif()

set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} -DTICKLINE_MUST_FAIL "${SOURCE}"
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} must not compile with TICKLINE_MUST_FAIL, and does.")
endif()
if(NOT output MATCHES "${reason}")
  message(FATAL_ERROR "${SOURCE} fails, but not for the reason it states (${reason}):\n${output}")
endif()
