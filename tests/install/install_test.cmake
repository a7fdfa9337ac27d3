set(prefix ${BUILD}/install_test/prefix)
file(REMOVE_RECURSE ${BUILD}/install_test)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed (${status}): ${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
foreach(example hello_model network)
  run(${CMAKE_COMMAND} -S ${EXAMPLES}/${example} -B ${BUILD}/install_test/${example} -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${prefix}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_BUILD_TYPE=${BUILD_TYPE})
  run(${CMAKE_COMMAND} --build ${BUILD}/install_test/${example})
endforeach()

# The examples have to run, too: those of the network in network_test.py, this one here, on a model where there is one, else
# on a file that is no model.
set(hello_model ${BUILD}/install_test/hello_model/hello_model)
set(model $ENV{KWAAI_FIXTURES}/models/stories260K.gguf)
if(EXISTS ${model})
  run(${hello_model} ${model} "Once upon a time")
  if(NOT output MATCHES "llama" OR NOT output MATCHES "48 tensors")
    message(FATAL_ERROR "hello_model printed:\n${output}")
  endif()
else()
  message("skipped: no fixture models/stories260K.gguf (set KWAAI_FIXTURES)")
endif()
execute_process(COMMAND ${hello_model} ${CMAKE_CURRENT_LIST_FILE} "x"
  RESULT_VARIABLE status ERROR_VARIABLE output)
if(NOT status EQUAL 1 OR output STREQUAL "")
  message(FATAL_ERROR "hello_model took a text file for a model (status ${status}): ${output}")
endif()
