// Asio's own code, compiled here once: BOOST_ASIO_SEPARATE_COMPILATION is defined for every target.
#include <boost/asio/impl/src.hpp>
