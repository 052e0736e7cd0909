# The CUDA runtime over it, to be linked in place of cudart, where a CUDA compiler was found: its
# headers declare what is emulated.
if(COLOPHON_NVCC)
  add_library(colophon_emulated_cudart STATIC EXCLUDE_FROM_ALL
    context.cc
    context_streams.cc
    cuda_control.cc
    cuda_errors.cc
    cuda_runtime.cc
    cuda_streams.cc
    device_properties.cc
    fault_plan.cc
    kernel_table.cc
    shared_card.cc
    work_queue.cc)
  target_include_directories(colophon_emulated_cudart SYSTEM PUBLIC ${COLOPHON_CUDA_ROOT}/include)
  target_link_libraries(colophon_emulated_cudart PUBLIC colophon_gpu_emulator Threads::Threads
                        PRIVATE colophon_flags)
  target_compile_options(colophon_emulated_cudart PRIVATE -O1)
  colophon_compile_together(colophon_emulated_cudart)

  # colophon_emulated_cuda(TARGET SOURCE.cu [nvcc's options …])
  # Adds to TARGET the object of SOURCE as nvcc makes it, and its PTX, embedded, for the emulator to
  # run. One run of nvcc makes both, so that they are the same text; no ptxas runs.
  function(colophon_emulated_cuda target source)
    cmake_path(ABSOLUTE_PATH source NORMALIZE)
    cmake_path(GET source STEM name)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}_${name})
    set(object ${folder}/${name}.o)
    set(ptx ${folder}/${name}.ptx)
    file(MAKE_DIRECTORY ${folder})
    set(host_options -fPIC -O1 -g1)
    # Not for threads: what nvcc writes around a launch has a race of its own, on a static that
    # nobody reads.
    if(COLOPHON_SANITIZE AND NOT COLOPHON_SANITIZE STREQUAL "thread")
      string(REPLACE "," ";" sanitizers ${COLOPHON_SANITIZE})  # nvcc would cut it at the comma
      list(TRANSFORM sanitizers PREPEND -fsanitize=)
      list(APPEND host_options ${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    endif()
    list(TRANSFORM host_options PREPEND -Xcompiler=)
    add_custom_command(OUTPUT ${object} ${ptx}
      COMMAND ${COLOPHON_NVCC} -std=c++20 -gencode arch=compute_90,code=compute_90
              -ccbin ${CMAKE_CXX_COMPILER} -I${PROJECT_SOURCE_DIR} ${host_options} ${ARGN}
              --keep --keep-dir ${folder} -MD -MF ${folder}/${name}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${folder}/${name}.d VERBATIM)
    set(COLOPHON_PTX ${ptx})
    configure_file(${PROJECT_SOURCE_DIR}/tests/gpu_emulator/embedded_ptx.cc.in
                   ${folder}/${name}_ptx.cc @ONLY)
    set_source_files_properties(${folder}/${name}_ptx.cc PROPERTIES OBJECT_DEPENDS ${ptx})
    target_sources(${target} PRIVATE ${object} ${folder}/${name}_ptx.cc)
    target_link_libraries(${target} PRIVATE colophon_emulated_cudart)
  endfunction()

  # The library's own kernels. colophon_emulate_gpu(TARGET) makes of a program that links colophon
  # one that has an emulated GPU; of its backends, that is "cuda".
  # The objects are the shipped ones; beside each stands the PTX that was made in the same run.
  set(embedded)
  foreach(COLOPHON_PTX ${COLOPHON_CUDA_PTX})
    cmake_path(GET COLOPHON_PTX STEM name)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}_ptx.cc)
    configure_file(embedded_ptx.cc.in ${source} @ONLY)
    set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${COLOPHON_PTX})
    list(APPEND embedded ${source})
  endforeach()
  set_source_files_properties(${COLOPHON_CUDA_PTX} PROPERTIES GENERATED TRUE)
  add_library(colophon_emulated_kernels OBJECT EXCLUDE_FROM_ALL ${embedded})
  add_dependencies(colophon_emulated_kernels colophon_kernels_cuda)
  target_link_libraries(colophon_emulated_kernels PRIVATE colophon_emulated_cudart)
  function(colophon_emulate_gpu target)
    set_target_properties(${target} PROPERTIES COLOPHON_EMULATED_GPU ON)
    target_link_libraries(${target} PRIVATE colophon_emulated_kernels)
  endfunction()

  add_executable(cuda_runtime_test
    cuda_capture_test.cc
    cuda_fault_test.cc
    cuda_runtime_test.cc
    cuda_stream_test.cc
    shared_card_test.cc)
  colophon_use_headers(colophon_test_headers cuda_runtime_test)
  target_link_libraries(cuda_runtime_test PRIVATE colophon_flags GTest::gtest_main ${CMAKE_DL_LIBS})
  target_compile_definitions(cuda_runtime_test PRIVATE
                             CUDART_LIBRARY="${COLOPHON_CUDA_ROOT}/lib/libcudart.so.13")
  colophon_emulated_cuda(cuda_runtime_test cuda_runtime_kernels.cu)
  add_test(NAME cuda_runtime_test COMMAND cuda_runtime_test)
  set_tests_properties(cuda_runtime_test PROPERTIES LABELS threads)
  add_dependencies(threads cuda_runtime_test)
endif()
