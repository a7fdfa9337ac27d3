# cmake --install: the program, the headers and libraries of the rooms, and a package that exports them as
# kwaai::kwaai (all of them) and kwaai::<room>. `cli` belongs to the program and is not exported.
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY KWAAI_ROOMS)
list(REMOVE_ITEM rooms kwaai_cli)

add_library(kwaai_all INTERFACE)
add_library(kwaai::kwaai ALIAS kwaai_all)
set_target_properties(kwaai_all PROPERTIES EXPORT_NAME kwaai)
target_link_libraries(kwaai_all INTERFACE ${rooms})

install(TARGETS kwaai_all ${rooms} EXPORT kwaai
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kwaai
  FILE_SET lone DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kwaai)
install(EXPORT kwaai NAMESPACE kwaai:: FILE kwaai-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kwaai)
if(TARGET kwaai)
  install(TARGETS kwaai RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# The packages that the rooms link to, found again by whoever links to the rooms.
set(KWAAI_DEPENDENCIES "")
foreach(room IN LISTS rooms)
  get_target_property(libraries ${room} INTERFACE_LINK_LIBRARIES)
  foreach(pair "Threads::=Threads" "Boost::=Boost 1.81" "fmt::=fmt" "nlohmann_json::=nlohmann_json" "OpenSSL::=OpenSSL" "SQLite::=SQLite3" "spdlog::=spdlog")
    string(REGEX MATCH "^(.*)=(.*)$" _ "${pair}")
    set(prefix ${CMAKE_MATCH_1})
    set(package ${CMAKE_MATCH_2})
    if("${libraries}" MATCHES "${prefix}")
      list(APPEND KWAAI_DEPENDENCIES "find_dependency(${package})")
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES KWAAI_DEPENDENCIES)
list(JOIN KWAAI_DEPENDENCIES "\n" KWAAI_DEPENDENCIES)

configure_package_config_file(cmake/kwaai-config.cmake.in ${PROJECT_BINARY_DIR}/kwaai-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kwaai)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kwaai-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kwaai-config.cmake ${PROJECT_BINARY_DIR}/kwaai-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kwaai)
