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
    # The address sanitizer sees what null pointers and wrong sizes lead to; both and the types behind virtual calls are a quarter of
    # the compiler's time. Alignment the processor does not mind.
    list(APPEND flags -fno-sanitize-recover=undefined -fno-sanitize=null,object-size,vptr,alignment)
  endif()
  target_compile_options(leftfold_sanitize INTERFACE ${flags})
  target_link_options(leftfold_sanitize INTERFACE ${flags})
endif()
if(LEFTFOLD_FUZZ)
  # Coverage of our code, not of tests and generated code; main() and the fuzzer itself only in the fuzz_* targets (tests/CMakeLists.txt).
  target_compile_options(leftfold_sanitize INTERFACE
    $<$<NOT:$<OR:$<IN_LIST:leftfold_test,$<TARGET_PROPERTY:LINK_LIBRARIES>>,$<BOOL:$<TARGET_PROPERTY:LEFTFOLD_GENERATED>>>>:-fsanitize=fuzzer-no-link>)
endif()

# With sanitizers most of the compiler's time is the optimiser's: for code that tests and fuzzers spend little time in.
add_library(leftfold_unoptimized INTERFACE)
if(LEFTFOLD_SANITIZE)
  target_compile_options(leftfold_unoptimized INTERFACE -O0)
endif()
