# kwaai_module(<room> [HEADERS ..] [SOURCES ..] [DEPS ..] [TESTS ..] [APART ..] [FUZZ ..] [BENCH ..]): one library per folder.
#   TESTS  sources of the room's doctest executable kwaai_<room>_test, registered with CTest
#   APART  those of SOURCES and TESTS whose unnamed namespace has names that others' have too: presets that compile
#          several files at a time (CMAKE_UNITY_BUILD) compile them alone
#   FUZZ   each source becomes a libFuzzer executable named like the file
#   BENCH  each source becomes a Google Benchmark executable named like the file
function(kwaai_module name)
  cmake_parse_arguments(arg "" "" "HEADERS;SOURCES;DEPS;TESTS;APART;FUZZ;BENCH" ${ARGN})
  set_source_files_properties(${arg_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  add_library(kwaai_${name} STATIC ${arg_SOURCES})
  add_library(kwaai::${name} ALIAS kwaai_${name})
  # A source includes its own header first (the format lint sees to it): that compiles alone. The others are verified by CI.
  set(others ${arg_HEADERS})
  list(TRANSFORM arg_SOURCES REPLACE "cpp$" "hpp" OUTPUT_VARIABLE own)
  list(REMOVE_ITEM others ${own})
  set(own ${arg_HEADERS})
  list(REMOVE_ITEM own ${others})
  target_sources(kwaai_${name}
    PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${own}
    PUBLIC FILE_SET lone TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${others})
  target_compile_features(kwaai_${name} PUBLIC cxx_std_23)
  target_link_libraries(kwaai_${name} PUBLIC ${arg_DEPS} PRIVATE $<BUILD_INTERFACE:kwaai_warnings>)
  if(name IN_LIST KWAAI_COLD_ROOMS)
    target_compile_options(kwaai_${name} PRIVATE -O0)
  endif()
  if(KWAAI_FUZZ AND NOT arg_FUZZ)
    target_compile_options(kwaai_${name} PRIVATE -fno-sanitize=fuzzer-no-link) # the fuzzer need not count what it does there
  endif()
  set_target_properties(kwaai_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON
    INTERFACE_HEADER_SETS_TO_VERIFY lone EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY KWAAI_ROOMS kwaai_${name})

  if(KWAAI_TESTS AND arg_TESTS)
    add_executable(kwaai_${name}_test ${arg_TESTS})
    target_compile_options(kwaai_${name}_test PRIVATE ${KWAAI_COLD_OPTIONS})
    target_link_libraries(kwaai_${name}_test PRIVATE kwaai_${name} kwaai_testing kwaai_doctest_main kwaai_warnings)
    add_test(NAME ${name} COMMAND kwaai_${name}_test)
  endif()
  if(KWAAI_FUZZ)
    foreach(source ${arg_FUZZ})
      get_filename_component(target ${source} NAME_WE)
      add_executable(${target} ${source})
      target_link_libraries(${target} PRIVATE kwaai_${name} kwaai_warnings)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      set_property(GLOBAL APPEND PROPERTY KWAAI_FUZZ_TARGETS ${target})
    endforeach()
  endif()
  if(KWAAI_BENCH)
    foreach(source ${arg_BENCH})
      get_filename_component(target ${source} NAME_WE)
      add_executable(${target} ${source})
      target_link_libraries(${target} PRIVATE kwaai_${name} benchmark::benchmark_main kwaai_warnings)
    endforeach()
  endif()
endfunction()
