option(LEFTFOLD_WERROR "Warnings are errors" ON)
# Link it PRIVATE into every target of ours.
add_library(leftfold_warnings INTERFACE)
target_compile_options(leftfold_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  $<$<BOOL:${LEFTFOLD_WERROR}>:-Werror> $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # Where files are compiled together gcc takes each for a header; the preset dev warns of those in real headers.
  $<$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>
  # clang takes names of a file's neighbours for shadowed ones; gcc does not, and clang-tidy has a tree without neighbours.
  $<$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<CXX_COMPILER_ID:Clang>>:-Wno-shadow>)
