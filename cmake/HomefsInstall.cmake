# What `cmake --install` puts where. Folders follow GNUInstallDirs; the helpers that mount(8) and
# umount(8) call are looked for in /sbin only, so a prefix other than /usr leaves them unused.

include(GNUInstallDirs)

set(HOMEFS_MOUNT_HELPER_DIR "${CMAKE_INSTALL_SBINDIR}" CACHE PATH "Where mount.fuse.homefs goes")
set(HOMEFS_SYSTEMD_DIR "lib/systemd" CACHE PATH "Where the systemd units go, below the prefix")

foreach(program homefs homefsd)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endforeach()

# The units name the programs by their full path, which the prefix decides.
set(packaging "${CMAKE_SOURCE_DIR}/packaging")
function(homefs_install_unit file destination)
  get_filename_component(name "${file}" NAME_WLE)
  set(bindir "${CMAKE_INSTALL_FULL_BINDIR}")
  configure_file("${file}" "${CMAKE_BINARY_DIR}/packaging/${destination}/${name}" @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/packaging/${destination}/${name}"
    DESTINATION "${HOMEFS_SYSTEMD_DIR}/${destination}")
endfunction()

file(GLOB system_units CONFIGURE_DEPENDS "${packaging}/systemd/*.in")
foreach(unit IN LISTS system_units)
  homefs_install_unit("${unit}" system)
endforeach()
file(GLOB user_units CONFIGURE_DEPENDS "${packaging}/systemd/user/*.in")
foreach(unit IN LISTS user_units)
  homefs_install_unit("${unit}" user)
endforeach()
foreach(kind sysusers tmpfiles)
  file(GLOB snippets CONFIGURE_DEPENDS "${packaging}/${kind}.d/*.conf")
  if(snippets)
    install(FILES ${snippets} DESTINATION "lib/${kind}.d")
  endif()
endforeach()

if(EXISTS "${packaging}/umount.fuse.homefs")
  install(PROGRAMS "${packaging}/umount.fuse.homefs" DESTINATION "${HOMEFS_MOUNT_HELPER_DIR}")
  install(CODE "
    set(dir \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${HOMEFS_MOUNT_HELPER_DIR}\")
    file(RELATIVE_PATH program \"\${CMAKE_INSTALL_PREFIX}/${HOMEFS_MOUNT_HELPER_DIR}\"
      \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/homefs\")
    message(STATUS \"Installing: \${dir}/mount.fuse.homefs -> \${program}\")
    file(CREATE_LINK \"\${program}\" \"\${dir}/mount.fuse.homefs\" SYMBOLIC)")
endif()

foreach(section 1 5 7 8)
  file(GLOB pages CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/man/*.${section}")
  if(pages)
    install(FILES ${pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
  endif()
endforeach()

file(GLOB samples CONFIGURE_DEPENDS
  "${CMAKE_SOURCE_DIR}/config/*.json" "${CMAKE_SOURCE_DIR}/config/*.ini"
  "${CMAKE_SOURCE_DIR}/config/*.sample" "${CMAKE_SOURCE_DIR}/config/samples/*")
if(samples)
  install(FILES ${samples} DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples")
endif()

file(GLOB completions CONFIGURE_DEPENDS "${packaging}/completion/*.bash")
foreach(completion IN LISTS completions)
  get_filename_component(name "${completion}" NAME_WE)
  install(FILES "${completion}" RENAME "${name}"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
endforeach()

set(documents README.md CHANGELOG.md docs/SEMANTICS.md protocol/PROTOCOL.md)
foreach(document IN LISTS documents)
  if(EXISTS "${CMAKE_SOURCE_DIR}/${document}")
    install(FILES "${CMAKE_SOURCE_DIR}/${document}" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
  endif()
endforeach()
