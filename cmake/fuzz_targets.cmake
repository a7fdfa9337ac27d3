# Where the fuzz targets lie, one path a line, for tools/fuzz.sh.
if(KWAAI_FUZZ)
  get_property(targets GLOBAL PROPERTY KWAAI_FUZZ_TARGETS)
  set(lines "")
  foreach(target IN LISTS targets)
    string(APPEND lines "$<TARGET_FILE:${target}>\n")
  endforeach()
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/fuzz_targets.txt CONTENT "${lines}")
endif()
