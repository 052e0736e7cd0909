# Installs the built tree into a folder of its own, then configures, builds and runs an outside project
# against it. Run by CTest: cmake -DBUILD=… -DWORK=… -DSOURCE=… -DGENERATOR=… -DFLAGS=… -P run.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nexit status ${status}\n${output}")
  endif()
endfunction()
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${WORK}/prefix
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_C_COMPILER=${CC}
    -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_C_FLAGS=${FLAGS})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
run(${WORK}/build/consumer_c)
if(HSM)
  run(${WORK}/build/consumer_hsm)
endif()
if(PROGRAM)
  run(${WORK}/prefix/bin/colophon --version)
endif()
# The twin: a version that is not the installed one.
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/other -G ${GENERATOR}
                        -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCOLOPHON_WANTED=9.0
                RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
if(status EQUAL 0 OR NOT output MATCHES "requested version \"9.0\"")
  message(FATAL_ERROR "version 9.0 was not refused: ${output}")
endif()
file(GLOB_RECURSE headers RELATIVE ${WORK}/prefix/include ${WORK}/prefix/include/*)
if(NOT "colophon/verifier.hpp" IN_LIST headers OR NOT "colophon/colophon.h" IN_LIST headers)
  message(FATAL_ERROR "public headers are missing from the installation: ${headers}")
endif()
