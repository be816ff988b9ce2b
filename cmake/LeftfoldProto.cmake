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
    set(without_unused "")
    # Reconfigured when the file changes: it may have got its first service.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(STRINGS ${source} services REGEX "^service ")
    if(services)
      list(APPEND files ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
      set(stubs --grpc_out=${out} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
      set(without_unused COMMAND sed -i -E -f ${PROJECT_SOURCE_DIR}/cmake/unused_stubs.sed ${out}/${stem}.grpc.pb.h ${out}/${stem}.grpc.pb.cc)
    endif()
    # Two variables are called alike in all generated files; compiled together each needs its own.
    string(MAKE_C_IDENTIFIER ${stem} file)
    add_custom_command(OUTPUT ${files}
      COMMAND protobuf::protoc -I${PROJECT_SOURCE_DIR}/proto --cpp_out=${out} ${stubs} ${proto}
      COMMAND sed -i -E "/^(static const|    schemas, )/s/\\b(schemas|file_default_instances)\\b/&_${file}/g" ${out}/${stem}.pb.cc
      ${without_unused}
      DEPENDS ${source} ${PROJECT_SOURCE_DIR}/cmake/unused_stubs.sed VERBATIM)
    list(APPEND generated ${files})
  endforeach()
  # An object library, so that every file's descriptors are registered even where nothing refers to them.
  add_library(${target}_objects OBJECT ${generated})
  target_include_directories(${target}_objects SYSTEM PUBLIC ${out})
  target_link_libraries(${target}_objects PUBLIC protobuf::libprotobuf gRPC::grpc++ leftfold_sanitize PRIVATE leftfold_unoptimized)
  set_target_properties(${target}_objects PROPERTIES LEFTFOLD_GENERATED ON)
  if(LEFTFOLD_SANITIZE)
    target_compile_options(${target}_objects PRIVATE -g0)
  endif()
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE ${target}_objects $<TARGET_OBJECTS:${target}_objects>)
endfunction()
