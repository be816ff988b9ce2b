# leftfold_add_proto_library(<target> <glob>...), globs relative to proto/. Generates messages, and gRPC stubs where there are services.
function(leftfold_add_proto_library target)
  set(out ${CMAKE_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${out})
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/proto/)
  file(GLOB protos CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/proto ${ARGN})
  set(generated "")
  foreach(proto IN LISTS protos)
    set(source ${PROJECT_SOURCE_DIR}/proto/${proto})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(files ${out}/${stem}.pb.cc ${out}/${stem}.pb.h)
    set(stubs "")
    # Reconfigured when the file changes: it may have got its first service.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(STRINGS ${source} services REGEX "^service ")
    if(services)
      list(APPEND files ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
      set(stubs --grpc_out=${out} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
    endif()
    add_custom_command(OUTPUT ${files}
      COMMAND protobuf::protoc -I${PROJECT_SOURCE_DIR}/proto --cpp_out=${out} ${stubs} ${proto}
      DEPENDS ${source} VERBATIM)
    list(APPEND generated ${files})
  endforeach()
  # An object library, so that every file's descriptors are registered even where nothing refers to them.
  add_library(${target}_objects OBJECT ${generated})
  # Two names are the same in all generated files: where files are compiled together each gets its own.
  set_target_properties(${target}_objects PROPERTIES
    UNITY_BUILD_UNIQUE_ID LEFTFOLD_FILE
    UNITY_BUILD_CODE_BEFORE_INCLUDE "#define LEFTFOLD_JOIN(a, b) a##_##b
#define LEFTFOLD_OF_FILE(file, name) LEFTFOLD_JOIN(file, name)
#define schemas LEFTFOLD_OF_FILE(LEFTFOLD_FILE, schemas)
#define file_default_instances LEFTFOLD_OF_FILE(LEFTFOLD_FILE, file_default_instances)")
  target_include_directories(${target}_objects SYSTEM PUBLIC ${out})
  target_link_libraries(${target}_objects PUBLIC protobuf::libprotobuf gRPC::grpc++ leftfold_sanitize)
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE ${target}_objects $<TARGET_OBJECTS:${target}_objects>)
endfunction()
