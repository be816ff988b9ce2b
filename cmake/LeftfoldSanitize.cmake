set(LEFTFOLD_SANITIZE "" CACHE STRING "address,undefined or thread")
option(LEFTFOLD_FUZZ "Build the libFuzzer targets (clang)" OFF)
if(LEFTFOLD_FUZZ AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "LEFTFOLD_FUZZ needs clang: cmake --preset asan")
endif()

# Linked PUBLIC at the root of the dependencies, so that every object and binary has it.
add_library(leftfold_sanitize INTERFACE)
if(LEFTFOLD_SANITIZE)
  set(flags -fsanitize=${LEFTFOLD_SANITIZE} -fno-omit-frame-pointer)
  if(LEFTFOLD_SANITIZE MATCHES "undefined")
    list(APPEND flags -fno-sanitize-recover=undefined)
  endif()
  target_compile_options(leftfold_sanitize INTERFACE ${flags})
  target_link_options(leftfold_sanitize INTERFACE ${flags})
endif()
if(LEFTFOLD_FUZZ)
  # Coverage in every object but those of tests; main() and the fuzzer itself only in the fuzz_* targets (tests/CMakeLists.txt).
  target_compile_options(leftfold_sanitize INTERFACE
    $<$<NOT:$<IN_LIST:leftfold_test,$<TARGET_PROPERTY:LINK_LIBRARIES>>>:-fsanitize=fuzzer-no-link>)
endif()
