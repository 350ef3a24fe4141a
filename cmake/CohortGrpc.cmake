# libcohort_grpc: the control plane over gRPC, loaded by libcohort when a cluster has several
# processes. The services' code is generated from cluster/grpc/*.proto.
set(generated ${PROJECT_BINARY_DIR}/grpc/generated)
file(MAKE_DIRECTORY ${generated})
add_custom_command(
  OUTPUT ${generated}/control.pb.cc ${generated}/control.pb.h
         ${generated}/control.grpc.pb.cc ${generated}/control.grpc.pb.h
  COMMAND ${Protobuf_PROTOC_EXECUTABLE} --proto_path=generated=${PROJECT_SOURCE_DIR}/cluster/grpc
          --cpp_out=${PROJECT_BINARY_DIR}/grpc --grpc_out=${PROJECT_BINARY_DIR}/grpc
          --plugin=protoc-gen-grpc=${COHORT_GRPC_CPP_PLUGIN}
          ${PROJECT_SOURCE_DIR}/cluster/grpc/control.proto
  DEPENDS ${PROJECT_SOURCE_DIR}/cluster/grpc/control.proto
  COMMENT "Generating cluster/grpc/control" VERBATIM)

file(GLOB grpc_sources CONFIGURE_DEPENDS cluster/grpc/*.cc)
add_library(cohort_grpc MODULE ${grpc_sources} ${generated}/control.pb.cc
                               ${generated}/control.grpc.pb.cc)
target_include_directories(cohort_grpc SYSTEM PRIVATE ${PROJECT_BINARY_DIR}/grpc)
target_link_libraries(cohort_grpc PRIVATE cohort cohort_build gRPC::grpc++ gRPC::grpc++_reflection
                                          protobuf::libprotobuf OpenSSL::Crypto)
set_target_properties(cohort_grpc PROPERTIES CXX_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
