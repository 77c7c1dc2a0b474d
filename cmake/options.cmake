# One INTERFACE target that every target of ours links: warnings, sanitizers, hardening. The root is on the include path, so an
# include names its file from the root: #include "engine/lease.h".
add_library(innkeep_options INTERFACE)
target_include_directories(innkeep_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(innkeep_options INTERFACE _GNU_SOURCE INNKEEP_VERSION="${PROJECT_VERSION}")
target_compile_options(innkeep_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Wvla -Wundef -Wformat=2
  -Wswitch-enum
  # Not in tests: Criterion does not tell the compiler that a failed assertion never comes back.
  $<$<NOT:$<PATH:IS_PREFIX,${PROJECT_SOURCE_DIR}/tests,$<TARGET_PROPERTY:SOURCE_DIR>>>:-Wnull-dereference>
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  # Clang counts an enum stored in fewer bits as a conversion; GCC, which builds what ships, warns of the rest of them.
  $<$<COMPILE_LANG_AND_ID:C,Clang>:-Wno-implicit-int-conversion>)

if(INNKEEP_WERROR)
  target_compile_options(innkeep_options INTERFACE -Werror)
endif()

if(INNKEEP_SANITIZE)
  target_compile_options(innkeep_options INTERFACE -fsanitize=${INNKEEP_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  # GCC's manual: what sanitizers add to the code makes warnings that follow its flow go off falsely. The release build has them.
  target_compile_options(innkeep_options INTERFACE $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wno-maybe-uninitialized
                         -Wno-stringop-overread -Wno-stringop-overflow>)
  target_link_options(innkeep_options INTERFACE -fsanitize=${INNKEEP_SANITIZE})
  # ThreadSanitizer takes no notice of fences: it may miss a race that one hides, or report one that a fence rules out.
  if(INNKEEP_SANITIZE MATCHES thread)
    target_compile_options(innkeep_options INTERFACE $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wno-tsan>)
  endif()
endif()

if(INNKEEP_COVERAGE)
  target_compile_options(innkeep_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(innkeep_options INTERFACE --coverage)
endif()

if(INNKEEP_HARDEN)
  target_compile_options(innkeep_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
                         -ftrivial-auto-var-init=zero -fstack-clash-protection)
  target_link_options(innkeep_options INTERFACE -Wl,-z,relro,-z,now)
  target_link_options(innkeep_options INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()
