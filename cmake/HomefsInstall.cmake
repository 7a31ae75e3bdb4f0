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

# In the sources the prefix is /usr; what is installed names the one that it is installed to.
set(packaging "${CMAKE_SOURCE_DIR}/packaging")
function(homefs_install_with_prefix file destination)
  get_filename_component(name "${file}" NAME)
  install(CODE "
    file(READ \"${file}\" text)
    string(REPLACE \"/usr/\" \"\${CMAKE_INSTALL_PREFIX}/\" text \"\${text}\")
    file(WRITE \"${CMAKE_BINARY_DIR}/packaging/${name}\" \"\${text}\")
    file(INSTALL \"${CMAKE_BINARY_DIR}/packaging/${name}\"
      DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${destination}\")")
endfunction()

homefs_install_with_prefix("${packaging}/systemd/homefsd.service" "${HOMEFS_SYSTEMD_DIR}/system")
homefs_install_with_prefix("${packaging}/systemd/user/homefs@.service" "${HOMEFS_SYSTEMD_DIR}/user")
homefs_install_with_prefix("${packaging}/tmpfiles.d/homefs.conf" "lib/tmpfiles.d")
install(FILES "${packaging}/sysusers.d/homefs.conf" DESTINATION "lib/sysusers.d")
install(FILES "${packaging}/systemd/user/home-alice-Remote.mount"
  DESTINATION "${CMAKE_INSTALL_DATADIR}/homefs")
install(FILES "${packaging}/homefsd.json" DESTINATION "${CMAKE_INSTALL_DATADIR}/homefs")

install(PROGRAMS "${packaging}/umount.fuse.homefs" DESTINATION "${HOMEFS_MOUNT_HELPER_DIR}")
install(CODE "
  set(dir \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${HOMEFS_MOUNT_HELPER_DIR}\")
  file(RELATIVE_PATH program \"\${CMAKE_INSTALL_PREFIX}/${HOMEFS_MOUNT_HELPER_DIR}\"
    \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/homefs\")
  message(STATUS \"Installing: \${dir}/mount.fuse.homefs -> \${program}\")
  file(CREATE_LINK \"\${program}\" \"\${dir}/mount.fuse.homefs\" SYMBOLIC)")

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
