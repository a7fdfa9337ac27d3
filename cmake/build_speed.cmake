# ccache and mold where the machine has them: a rebuild takes seconds.
find_program(KWAAI_CCACHE ccache)
if(KWAAI_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${KWAAI_CCACHE})
endif()
find_program(KWAAI_MOLD mold)
if(KWAAI_MOLD AND NOT KWAAI_WASM)
  add_link_options(-fuse-ld=mold)
endif()
