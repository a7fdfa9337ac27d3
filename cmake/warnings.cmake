# What our own code is compiled with; third-party headers are system headers and keep their warnings.
add_library(kwaai_warnings INTERFACE)
target_compile_options(kwaai_warnings INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Wextra-semi -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports uninitialised reads in its own AVX-512 header and in std::expected, and overlapping copies of
  # impossible sizes in its own std::string (GCC bug 105651) and std::vector of bytes. Where it inlines the operator new of Asio's
  # coroutines and not their operator delete, it takes them for a mismatch. Of several files compiled in one go it takes all for headers, whose
  # unnamed namespaces would differ from file to file.
  target_compile_options(kwaai_warnings INTERFACE
    -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread -Wno-maybe-uninitialized -Wno-uninitialized -Wno-missing-field-initializers
    -Wno-mismatched-new-delete $<$<BOOL:${CMAKE_UNITY_BUILD}>:-Wno-subobject-linkage>)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # A designated initialiser names what it sets; the rest has defaults.
  target_compile_options(kwaai_warnings INTERFACE -Wno-missing-designated-field-initializers)
endif()
