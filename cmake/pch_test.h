// What cmake/pch.h is for the programs, for the tests: the same and GoogleTest.
#pragma once

#include "cmake/pch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
