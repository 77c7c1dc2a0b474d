#!/bin/bash
# Installs the client library into a fresh prefix, moves it elsewhere, and builds and runs programs against it: in C and
# C++ through pkg-config, and through the CMake package.
#
#   install_test.sh BUILD_DIR SOURCE_DIR LIBDIR CC CXX CMAKE [flags the library was built with]
set -euo pipefail
build=$1 tests=$2/tests/client libdir=$3 cc=$4 cxx=$5 cmake=$6
shift 6
flags=("$@")

work=$(mktemp -d "$build/install_test.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --prefix "$work/first" --component client >"$work/install.log"
mv "$work/first" "$work/moved"
prefix=$work/moved

find "$prefix" -type f -o -type l | sed "s|$prefix/||" | sort
for file in include/innkeep/innkeep.h "$libdir/libinnkeep.a" "$libdir/libinnkeep.so" "$libdir/libinnkeep.so.0" \
    "$libdir/pkgconfig/innkeep.pc" "$libdir/cmake/innkeep/innkeep-config.cmake"; do
    [[ -e $prefix/$file ]] || { echo "not installed: $file"; exit 1; }
done

[[ ! -e $prefix/bin ]] || { echo "the library's component installs programs"; exit 1; }
"$cmake" --install "$build" --prefix "$work/programs" --component server >>"$work/install.log"
[[ -x $work/programs/bin/innkeep ]] || { echo "not installed: bin/innkeep"; exit 1; }

# The header stands alone, as the first include of a C11 and of a C++17 program.
echo '#include <innkeep/innkeep.h>' >"$work/alone.c"
"$cc" -std=c11 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only "$work/alone.c"
"$cxx" -std=c++17 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only -x c++ "$work/alone.c"

strays=$(nm -D --defined-only "$prefix/$libdir/libinnkeep.so" | awk '{print $3}' | grep -v '^inn_' || true)
[[ -z $strays ]] || { echo "the shared library exports more than inn_:"; echo "$strays"; exit 1; }

export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
[[ $(pkg-config --modversion innkeep) == 0.1.0 ]]
read -ra use <<<"$(pkg-config --cflags --libs innkeep)"
"$cc" -std=c11 -Wall -Wextra -Wconversion -Werror "${flags[@]}" "$tests/consumer.c" "${use[@]}" \
    -Wl,-rpath,"$prefix/$libdir" -o "$work/consumer"
"$cxx" -std=c++17 -Wall -Wextra -Wconversion -Werror "${flags[@]}" "$tests/consumer.cc" "${use[@]}" \
    -Wl,-rpath,"$prefix/$libdir" -o "$work/consumer_cc"
"$work/consumer"
"$work/consumer_cc"

"$cmake" -S "$tests/consumer_package" -B "$work/package" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_FLAGS="${flags[*]}" >"$work/package.log"
"$cmake" --build "$work/package" >>"$work/package.log" || { cat "$work/package.log"; exit 1; }
"$work/package/consumer_shared"
"$work/package/consumer_static"

if [[ -n ${INNKEEP_ADDRESS:-} ]]; then
    "$work/consumer" "$INNKEEP_ADDRESS"
fi
echo "installed, moved, found and used"
